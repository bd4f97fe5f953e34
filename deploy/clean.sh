#!/bin/sh
# Airflow's own rows (runs, logs of who did what, sessions) older than KEEP_DAYS days. The ledger keeps what was done.
set -eu

before=$(python -c 'import sys; from datetime import UTC, datetime, timedelta; print((datetime.now(UTC) - timedelta(days=int(sys.argv[1]))).isoformat())' "$KEEP_DAYS")
exec airflow db clean --yes --skip-archive --clean-before-timestamp "$before"
