"""Mounts the auditor's pages at `/credit` of Airflow's API server (`/credit/<district>`), named in its navigation.

Their guard asks Airflow who has logged in, and the district file what that account may see.
"""

from airflow.plugins_manager import AirflowPlugin

from chengxin.dagtools.pages import auditor_pages, auditor_views


class AuditorPlugin(AirflowPlugin):
    """The auditor's pages."""

    name = "chengxin_auditor"
    fastapi_apps = auditor_pages()
    external_views = auditor_views()
