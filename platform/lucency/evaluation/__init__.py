"""What a model is worth: metrics, intervals, calibration, the clinical rule, the report."""
