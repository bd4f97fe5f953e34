#!/bin/sh
# Before the first start and at every upgrade: schemas of Airflow and of the ledger, tables of the lake, first account.
# Doing it again changes nothing.
set -eu

airflow db migrate
chengxin init
# The password is asked for twice; a command line could be read by every process.
printf '%s\n%s\n' "$ADMIN_PASSWORD" "$ADMIN_PASSWORD" |
  airflow users create --role Admin --username "$ADMIN_USER" --email "$ADMIN_EMAIL" --firstname 诚信 --lastname 管理员
