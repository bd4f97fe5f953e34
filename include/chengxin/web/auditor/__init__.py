"""The auditor's desk: pages inside Airflow on what was concluded, why, who was told, and who looked.

One module a page (`today`, `matters`, …), each with a router of its own; `app` puts them together behind one guard.

| to change | go to |
|---|---|
| who may enter, forms, cookies, headers | `guard`, `visitor` |
| what every page shows around its content | `render`, `templates/base.html.j2`, `static/` |
| an English word | `words/*.yml` |
| what a page reads | `chengxin.desk.read` (lake), the ledger's own modules |
"""
