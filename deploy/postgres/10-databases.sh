#!/bin/sh
# One database for Airflow, two for the house: what was done, and what pages show; with a role for each of the two. The
# PostgreSQL image runs this once, on an empty data folder. Passwords come from the environment, not from a command line
# that every process can read.
set -eu

psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres <<'SQL'
\getenv airflow_password AIRFLOW_DB_PASSWORD
\getenv chengxin_password CHENGXIN_DB_PASSWORD
CREATE ROLE airflow LOGIN PASSWORD :'airflow_password';
CREATE ROLE chengxin LOGIN PASSWORD :'chengxin_password';
CREATE DATABASE airflow OWNER airflow ENCODING 'UTF8' TEMPLATE template0;
CREATE DATABASE chengxin OWNER chengxin ENCODING 'UTF8' TEMPLATE template0;
CREATE DATABASE desk OWNER chengxin ENCODING 'UTF8' TEMPLATE template0;
REVOKE CONNECT, TEMPORARY ON DATABASE airflow, chengxin, desk FROM PUBLIC;
SQL
