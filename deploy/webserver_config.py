"""How people log in, for FAB's auth manager: by name and password, kept in Airflow's database.

An installation with LDAP or single sign-on writes a file of its own and names it in .env (WEBSERVER_CONFIG): see
docs/operating.md, "Log in by LDAP". The API server alone reads it.
"""

from flask_appbuilder.const import AUTH_DB

AUTH_TYPE = AUTH_DB
