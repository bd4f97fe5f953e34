"""Chengxin (诚信): credit records and credit reports in administrative matters.

The library behind the DAGs. Nothing here imports Airflow, except `chengxin.dagtools`.
"""

__version__ = "0.1.0"
