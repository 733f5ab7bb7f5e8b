"""From the tokens of an answer to its parts: text as it arrives, tool calls when complete."""

from __future__ import annotations

from collections.abc import Sequence

from core.chat_format import Part, PartType, Utf8Stream
from core.tokenizer import Tokenizer


class AnswerReader:
    """Reads one answer, token by token; no character is given out before its last byte."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        special = tokenizer.special
        self._opens: dict[int, PartType] = {
            special("python_start"): "python",
            special("output_start"): "python_output",
        }
        self._first_special = tokenizer.vocab_size - tokenizer.num_specials
        self._kind: PartType = "text"
        self._collected = b""
        self._utf8 = Utf8Stream()
        self._parts: list[Part] = []

    @property
    def parts(self) -> tuple[Part, ...]:
        """What has been read so far, neighbouring texts joined."""
        return tuple(self._parts)

    def push(self, token_id: int) -> tuple[Part, ...]:
        """Return what this token completes: text that is certain, or a whole tool part.

        Any special token ends the part before it; one that opens no tool part is otherwise
        passed over, so a model that misplaces a marker still leaves readable text.
        """
        if token_id >= self._first_special:
            pieces = self._end_part()
            self._kind = self._opens.get(token_id, "text")
            return pieces
        data = self._tokenizer.decode_bytes([token_id])
        if self._kind != "text":
            self._collected += data
            return ()
        return self._keep("text", self._utf8.push(data))

    def close(self) -> tuple[Part, ...]:
        """Return what was held back at the end of the answer."""
        pieces = self._end_part()
        self._kind = "text"
        return pieces

    def _end_part(self) -> tuple[Part, ...]:
        if self._kind == "text":
            return self._keep("text", self._utf8.flush())
        text = self._collected.decode("utf-8", errors="replace")
        self._collected = b""
        return self._keep(self._kind, text)

    def _keep(self, kind: PartType, text: str) -> tuple[Part, ...]:
        if not text and kind == "text":
            return ()
        piece = Part(type=kind, text=text)
        last = self._parts[-1] if self._parts else None
        if kind == "text" and last is not None and last.type == "text":
            self._parts[-1] = Part(type="text", text=last.text + text)
        else:
            self._parts.append(piece)
        return (piece,)


def readable(parts: Sequence[Part]) -> str:
    """Return an answer on one string, each tool call as [code = result]."""
    words: list[str] = []
    for index, part in enumerate(parts):
        before = parts[index - 1].type if index else None
        after = parts[index + 1].type if index + 1 < len(parts) else None
        if part.type == "text":
            words.append(part.text)
        elif part.type == "python":
            words.append(f"[{part.text}" if after == "python_output" else f"[{part.text}]")
        else:
            words.append(f" = {part.text}]" if before == "python" else f"[= {part.text}]")
    return "".join(words)
