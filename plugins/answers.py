"""Mounts the page on which desks answer their mails at `/answers` of Airflow's API server (`/answers/<district>`).

Airflow does not guard this path, and must not: departments have no account here. Each link's token authenticates
itself. Without signing keys (connection `chengxin_link_key`) it answers 404.
"""

from airflow.plugins_manager import AirflowPlugin

from chengxin.dagtools.pages import answering_page


class AnswersPlugin(AirflowPlugin):
    """The answering page."""

    name = "chengxin_answers"
    fastapi_apps = answering_page()
