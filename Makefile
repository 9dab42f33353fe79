PYTHON ?= python3
BIN := .venv/bin
CHECK := from ser.download.preflight import check; from ser.utils.errors import handle_user_errors; handle_user_errors(check)()
# All but the stage record, which always runs: where nothing has changed, it only looks whether MLflow has the result.
RESULTS := describe export report
export DVC_NO_ANALYTICS := 1
export MLFLOW_DISABLE_TELEMETRY := true

AGAINST ?= main
UP_TO_DATE = tee -a /dev/stderr | grep "Data and pipelines are up to date" > /dev/null

.PHONY: repro test lint locked settled check-metrics reproduce leaderboard docs ui champion serve clean

repro: .venv/installed  ## rebuild everything, on the demo corpus unless params.yaml says otherwise
	@$(BIN)/python -c '$(CHECK)'  # before DVC clears the outputs of what has changed
	@if [ -d models/checkpoints ] && $(BIN)/dvc status --quiet --with-deps $(RESULTS); \
	then $(BIN)/python -m stages.evaluate --show && $(BIN)/dvc repro --quiet --single-item record; \
	else $(BIN)/dvc repro; fi

test: .venv/installed  ## the whole test suite
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

lint: .venv/installed  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

locked: .venv/installed  ## dvc.lock must match the code and the settings
	@$(BIN)/dvc repro --allow-missing --dry $(RESULTS) | $(UP_TO_DATE)

settled: .venv/installed  ## what was just built must need nothing more
	@$(BIN)/dvc repro $(RESULTS) | $(UP_TO_DATE)

check-metrics: .venv/installed  ## compare the result with that of AGAINST; see docs/regression.md
	@$(BIN)/python -m stages.check_metrics --against "$(AGAINST)" $(CANDIDATE:%=--candidate "%") \
	  $(ACCEPT:%=--accept %) $(MARKDOWN:%=--markdown "%") $(PICTURES:%=--picture "%")

reproduce: .venv/installed  ## rebuild the result of REV=revision or RUN=MLflow's run id elsewhere, and compare
	@$(BIN)/python -m stages.reproduce $(REV:%=--rev "%") $(RUN:%=--run "%") $(STAGES:%=--stage %) $(KEEP:%=--keep %)

leaderboard: .venv/installed  ## show the last leaderboard again
	@$(BIN)/python -m stages.evaluate --show

docs: .venv/installed  ## write docs/corpora.md from the facts in ser/corpora
	$(BIN)/python -m tools.make_corpora

ui: .venv/installed  ## MLflow's pages over everything that was run here
	@echo "starting, which takes some seconds; Ctrl-C ends it"
	@echo "http://127.0.0.1:5000"
	@MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false $(BIN)/mlflow ui --workers 1 --backend-store-uri sqlite:///mlflow.db

champion: .venv/installed  ## make the model of RUN=MLflow's run id the champion, unless it is worse; see docs/mlflow.md
	@test -n "$(RUN)" || { echo "RUN is missing: make champion RUN=ID, with an id from MLflow's pages (make ui)"; exit 1; }
	@$(BIN)/python -m stages.promote --run "$(RUN)"

serve: .venv/installed  ## a page to record or drop a voice, and answers for programs, at http://127.0.0.1:8000
	@echo "starting, which takes some seconds; Ctrl-C ends it"
	@$(BIN)/python -m stages.serve

clean:  ## remove what stages made; DVC's cache and the environment stay
	git clean --quiet -dfX data models

.venv/installed: requirements.txt constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed, found " + sys.version.split()[0])'
	@echo "Installing the pinned requirements into .venv: 2.8 GB, two to five minutes, in which pip says nothing"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt -c constraints.txt
	@echo "Compiling functions of librosa, which its first use would do otherwise: about half a minute"
	$(BIN)/python -c "import librosa; librosa.feature.mfcc"
	touch $@
