"""A made-up outside world: sources over real protocols, and a mail catcher, all on loopback.

`world` makes the facts, `shapes` puts them into each source's own headings and formats, `portal`, `frontdb` and `drop`
serve them, `mailbox` catches what is sent, `services.Sandbox` runs all of it. Nothing here reads a contract file: a
contract that misreads its source is to show.

Every name holds the word 示例 and every code a body of `XXXX`: no real subject is meant.
"""
