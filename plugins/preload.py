"""Imports, once in the scheduler, what every task of the LocalExecutor needs. See `chengxin.dagtools.preload`."""

from airflow.plugins_manager import AirflowPlugin

from chengxin.dagtools import preload


class PreloadPlugin(AirflowPlugin):
    """The listener."""

    name = "chengxin_preload"
    listeners = (preload,)
