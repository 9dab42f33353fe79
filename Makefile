PYTHON ?= python3
BIN := .venv/bin
CHECK := from ser.download.preflight import check; from ser.utils.errors import handle_user_errors; handle_user_errors(check)()
# All results except those of the stage record, which always runs.
RESULTS := describe export report
export DVC_NO_ANALYTICS := 1
export MLFLOW_DISABLE_TELEMETRY := true

AGAINST ?= main
UP_TO_DATE = tee -a /dev/stderr | grep "Data and pipelines are up to date" > /dev/null

.PHONY: repro test lint locked settled check-metrics reproduce leaderboard docs ui champion serve clean

repro: .venv/installed  ## run the pipeline; with the settings as committed, on the demo corpus
	@$(BIN)/python -c '$(CHECK)'  # before DVC removes outputs of changed stages
	@if [ -d models/checkpoints ] && $(BIN)/dvc status --quiet --with-deps $(RESULTS); \
	then $(BIN)/python -m stages.evaluate --show && $(BIN)/dvc repro --quiet --single-item record; \
	else $(BIN)/dvc repro; fi

test: .venv/installed  ## run all tests
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

lint: .venv/installed  ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

locked: .venv/installed  ## check that dvc.lock matches code and settings
	@$(BIN)/dvc repro --allow-missing --dry $(RESULTS) | $(UP_TO_DATE)

settled: .venv/installed  ## check that a second run does nothing
	@$(BIN)/dvc repro $(RESULTS) | $(UP_TO_DATE)

check-metrics: .venv/installed  ## compare the metrics with those of the revision AGAINST; see docs/regression.md
	@$(BIN)/python -m stages.check_metrics --against "$(AGAINST)" $(CANDIDATE:%=--candidate "%") \
	  $(ACCEPT:%=--accept %) $(MARKDOWN:%=--markdown "%") $(PICTURES:%=--picture "%")

reproduce: .venv/installed  ## rebuild the result of REV=revision or RUN=MLflow run id in a worktree, and compare
	@$(BIN)/python -m stages.reproduce $(REV:%=--rev "%") $(RUN:%=--run "%") $(STAGES:%=--stage %) $(KEEP:%=--keep %)

leaderboard: .venv/installed  ## show the last leaderboard
	@$(BIN)/python -m stages.evaluate --show

docs: .venv/installed  ## generate docs/corpora.md
	$(BIN)/python -m tools.make_corpora

ui: .venv/installed  ## start the MLflow UI
	@echo "Starting takes a few seconds. Press Ctrl-C to stop."
	@echo "http://127.0.0.1:5000"
	@MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false $(BIN)/mlflow ui --workers 1 --backend-store-uri sqlite:///mlflow.db

champion: .venv/installed  ## promote the model of RUN=MLflow run id to champion, unless it is worse; see docs/mlflow.md
	@test -n "$(RUN)" || { echo "RUN is missing: make champion RUN=ID, with a run id from the MLflow UI (make ui)"; exit 1; }
	@$(BIN)/python -m stages.promote --run "$(RUN)"

serve: .venv/installed  ## start the HTTP API and web page at http://127.0.0.1:8000
	@echo "Starting takes a few seconds. Press Ctrl-C to stop."
	@$(BIN)/python -m stages.serve

clean:  ## remove outputs of stages; DVC's cache and the environment are kept
	git clean --quiet -dfX data models
	git clean --quiet -df metrics/preprocess

.venv/installed: requirements.txt constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed, found " + sys.version.split()[0])'
	@echo "Installing the pinned requirements into .venv: 2.8 GB, two to five minutes, without output of pip"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt -c constraints.txt
	@echo "Compiling functions of librosa for its first use: about half a minute"
	$(BIN)/python -c "import librosa; librosa.feature.mfcc"
	touch $@
