"""The gate between the sources and the lake.

`rules` holds what is checked (`great_expectations/rules.yml`), `judge` turns a chunk's facts into one status column per
rule (0: fine) and its rejected rows, `gate` lets Great Expectations judge the same columns and builds the data docs,
`suites` makes the committed suites. Great Expectations' counts and ours must agree.
"""
