"""The harvest DAGs, `harvest__<source>`: one per contract in `include/sources/` that a district enables.

Each DAG's own page says what it harvests, who reads it and how to rerun it: `chengxin.dagtools.harvests`.
"""

from chengxin.dagtools import harvest_dags

# Airflow finds DAGs among a module's globals; it skips files in which it reads neither "dag" nor "airflow".
globals().update(harvest_dags())
