"""What an exchange costs. Run by hand, as ratios within one run; never a gate."""
