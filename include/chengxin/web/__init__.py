"""The pages that people open: small FastAPI apps that read the lake and the ledger."""
