"""
Every metric of the service, named once, for Prometheus.

Each replica is a series of its own. To add them up:

| metric | over replicas |
| --- | --- |
| ``_total``, ``_bucket``, ``_sum``, ``_count`` | ``sum(rate(...))``, ``sum(increase(...))`` |
| in flight, films in windows | ``sum`` |
| drift scores, levels, alarms | ``max by (feature)``: a mean of two windows is neither's |
| films since alarm | ``min by (feature)`` |
| sensitivity and its bounds | ``min by (model_version, bound)``: all replicas read one log |
| late labels | ``max by (model_version)`` |
| rollout stage and share | ``max`` |
| log health | ``min`` |
| model info | ``count``: replicas; ``count by (model_version)``: models in force |

Never ``rate(sum(...))``: there the end of a replica looks like a reset of all of them.
"""

# 99 of 100 requests are to be answered within; rules and dashboards read the bucket of this bound.
OBJECTIVE_S = 0.25
BATCH_BUCKETS = (1, 2, 4, 8, 16, 32)
PROBABILITY_BUCKETS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)

REQUEST = "lucency_request_seconds"
STAGE = "lucency_stage_seconds"
BATCH = "lucency_batch_films"
IN_FLIGHT = "lucency_requests_in_flight"
PREDICTIONS = "lucency_predictions"
PROBABILITY = "lucency_probability"
ABSTAINS = "lucency_abstains"
REFUSALS = "lucency_refusals"
WARNINGS = "lucency_quality_warnings"
DRIFT = "lucency_drift_stability_index"
DRIFT_KS = "lucency_drift_ks_ratio"
DRIFT_MMD = "lucency_drift_mmd_ratio"
DRIFT_LEVEL = "lucency_drift_level"
DRIFT_ALARM = "lucency_drift_alarm"
DRIFT_ALARMS = "lucency_drift_alarms"
DRIFT_SINCE = "lucency_drift_films_since_alarm"
DRIFT_FILMS = "lucency_drift_window_films"
SENSITIVITY = "lucency_sensitivity"
LABELS = "lucency_late_labels"
LOG_HEALTHY = "lucency_log_healthy"
LOG_ERRORS = "lucency_log_write_errors"
ROLLOUT_STAGE = "lucency_rollout_stage"
ROLLOUT_SHARE = "lucency_rollout_share"
ROLLBACKS = "lucency_rollbacks"
LOAD_FAILURES = "lucency_load_failures"
MODEL = "lucency_model_info"


def latency_buckets(objective_s: float) -> tuple[float, ...]:
    """Bounds in seconds, finest around the objective, which is one of them."""
    shares = (0.02, 0.04, 0.1, 0.2, 0.3, 0.4, 0.6, 1, 2, 4, 10, 20)
    return tuple(round(objective_s * share, 6) for share in shares)


LATENCY_BUCKETS_S = latency_buckets(OBJECTIVE_S)


def histograms(
    objective_s: float,
) -> tuple[tuple[str, str, tuple[str, ...], tuple[float, ...]], ...]:
    """Name, text, labels beside the model's version, bounds; latency's around an objective."""
    latency = latency_buckets(objective_s)
    return (
        (
            REQUEST,
            "Seconds from the body's first byte to the answer.",
            ("route", "status"),
            latency,
        ),
        (
            STAGE,
            "Seconds in one stage of a prediction: decode, infer (with waiting for a batch).",
            ("stage",),
            latency,
        ),
        (BATCH, "Films that shared one run of the graph.", (), BATCH_BUCKETS),
        (PROBABILITY, "Probability of the answers.", (), PROBABILITY_BUCKETS),
    )


_GROUP = ("site", "view")
_FEATURE = ("feature", "stream", *_GROUP)
# Name, text, labels beside the model's version; GAUGES alike.
COUNTERS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (PREDICTIONS, "Films answered, by decision.", ("decision",)),
    (ABSTAINS, "Films left to a reader, by reason.", ("reason",)),
    (REFUSALS, "Films refused, by reason.", ("reason",)),
    (WARNINGS, "Films answered though their quality is doubtful, by kind.", ("kind",)),
    (DRIFT_ALARMS, "Sequential drift tests that went from quiet to alarm.", _FEATURE),
    (LOG_ERRORS, "Entries that could not be written to the prediction log.", ()),
    (ROLLBACKS, "Canaries taken back.", ()),
    (LOAD_FAILURES, "Versions that could not be loaded beside the one in force.", ()),
)
GAUGES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (IN_FLIGHT, "Requests being answered in this replica.", ()),
    (DRIFT, "Population stability index of the window against the bundle's reference.", _FEATURE),
    (DRIFT_KS, "Kolmogorov-Smirnov distance over its limit of 1 in 1000.", _FEATURE),
    (DRIFT_MMD, "Mean discrepancy of thumbnails over its limit of 1 in 1000.", _GROUP),
    (DRIFT_LEVEL, "Sequential drift test: evidence over what raises the alarm.", _FEATURE),
    (DRIFT_ALARM, "1 while the sequential drift test is in alarm.", _FEATURE),
    (DRIFT_SINCE, "Films since the drift alarm was last on, or since the start.", _FEATURE),
    (DRIFT_FILMS, "Films in the drift window.", _GROUP),
    (
        SENSITIVITY,
        "Sensitivity by late labels: estimate, lower and upper bound, floor.",
        ("bound",),
    ),
    (LABELS, "Films with disease whose late labels the sensitivity rests on.", ()),
    (LOG_HEALTHY, "1 while the prediction log is whole and can be written.", ()),
    (ROLLOUT_STAGE, "Stage of the canary; 0 without one.", ()),
    (ROLLOUT_SHARE, "Share of films that the canary answers.", ()),
    (MODEL, "1 for the model in force.", ()),
)
