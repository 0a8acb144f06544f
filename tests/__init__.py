"""The tests of delegation. What several of them share can be imported from here."""
