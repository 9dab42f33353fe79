"""MLflow runs, artefacts and the model registry."""
