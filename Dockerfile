# One image for every Airflow component of docker-compose.yaml: Python, the pinned requirements, this project. No secret
# goes in: the build context leaves .env out (.dockerignore), and everything that is set is set at run time.

FROM python:3.11-slim-bookworm AS build
# 1: with Spark and Java, half a gigabyte more (docs/spark.md).
ARG WITH_SPARK=
WORKDIR /build
COPY requirements-production.txt requirements-spark.txt ./
RUN python -m venv /opt/venv \
 && /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements-production.txt \
 && if [ -n "$WITH_SPARK" ]; then \
      /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements-spark.txt; \
    fi

FROM python:3.11-slim-bookworm
ARG WITH_SPARK=
# pg_dump and pg_restore for `chengxin backup` and `chengxin restore`: of the same major version as the server. The
# stable suite holds one version at a time, and a pin to it would refuse its security fixes.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends postgresql-client-15 ${WITH_SPARK:+openjdk-17-jre-headless} \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/venv /opt/venv
# A fixed number, so that shared folders have one owner on every machine. Group 0: clusters that choose the number.
RUN useradd --uid 50000 --gid 0 --home-dir /opt/airflow --create-home chengxin \
 && install -d -o 50000 -g 0 -m 0770 /opt/airflow /var/lib/chengxin /var/log/chengxin /var/drop /var/backups/chengxin
WORKDIR /opt/chengxin
COPY LICENSE ./
COPY include include
COPY great_expectations great_expectations
COPY dags dags
COPY plugins plugins
COPY deploy deploy
# The library is put on the path, not built: a build would fetch tools that nothing pins.
RUN echo /opt/chengxin/include > /opt/venv/lib/python3.11/site-packages/chengxin.pth \
 && printf '#!/bin/sh\nexec /opt/venv/bin/python -m chengxin.cli "$@"\n' > /opt/venv/bin/chengxin \
 && chmod 0755 /opt/venv/bin/chengxin \
 && /opt/venv/bin/python -m compileall -q include/chengxin
ENV PATH=/opt/venv/bin:$PATH \
    AIRFLOW_HOME=/opt/airflow \
    CHENGXIN_ROOT=/opt/chengxin \
    CHENGXIN_VAR=/var/lib/chengxin \
    PYTHONUNBUFFERED=1
USER 50000
CMD ["airflow", "version"]
