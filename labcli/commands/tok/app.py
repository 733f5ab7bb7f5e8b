"""`labcli tok`: the group of tokenizer commands. Loads no command before it is called."""

from __future__ import annotations

from labcli.lazy import lazy_app
from labcli.root import Entry

COMMANDS = {
    "train": Entry("labcli.commands.tok.train:app", "Train a tokenizer on text."),
    "eval": Entry("labcli.commands.tok.evaluate:app", "Measure how well tokenizers compress."),
    "encode": Entry("labcli.commands.tok.encode:app", "Turn a text into token ids."),
    "decode": Entry("labcli.commands.tok.decode:app", "Turn token ids into text."),
    "explain": Entry("labcli.commands.tok.explain:app", "Show how a text became its tokens."),
    "compare": Entry("labcli.commands.tok.compare:app", "Show where tokenizers cut a text."),
    "import": Entry("labcli.commands.tok.import_:app", "Take in a tokenizer of another tool."),
    "export": Entry("labcli.commands.tok.export:app", "Write a tokenizer for another tool."),
}

app = lazy_app(COMMANDS, "Train, compare and look inside tokenizers.")
