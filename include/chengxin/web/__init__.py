"""The pages that people open: small FastAPI apps that read the lake and the ledger."""

ANSWERS_PATH = "/answers"
"""Where desks answer their mails, at Airflow's address or the page's own."""
AUDITOR_PATH = "/credit"
"""Where the auditor's pages are, at Airflow's address."""
