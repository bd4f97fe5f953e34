"""Makes the pools that our DAGs name and that are not there, when the scheduler starts: `chengxin.dagtools.pools`."""

from airflow.plugins_manager import AirflowPlugin

from chengxin.dagtools import pools


class PoolsPlugin(AirflowPlugin):
    """The listener."""

    name = "chengxin_pools"
    listeners = (pools,)
