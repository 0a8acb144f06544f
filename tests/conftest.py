"""How hard Hypothesis tries: repeatably for every change, at length for the slow suite."""

from hypothesis import HealthCheck, settings

# A shared or busy machine must not turn into a failure: no deadline, and slow drawing is no fault.
settings.register_profile(
    "ci",
    deadline=None,
    derandomize=True,
    max_examples=50,  # of the suite's five minutes; coverage makes each twice as dear
    suppress_health_check=[HealthCheck.too_slow],
)
# pytest --hypothesis-profile=thorough: other examples at every run, and many more of them.
settings.register_profile(
    "thorough", settings.get_profile("ci"), derandomize=False, max_examples=1000
)
settings.load_profile("ci")
