"""From the tokens of an answer to its parts: text as it arrives, tool calls when complete."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from core.chat_format import Part, PartType, Utf8Stream
from core.tokenizer import Tokenizer


class AnswerReader:
    """Reads one answer, token by token; no character is given out before its last byte.

    With stop strings, text that may turn out to be the beginning of one is held back too.
    """

    def __init__(self, tokenizer: Tokenizer, stop: Sequence[str] = ()) -> None:
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
        self._stop = tuple(stop)
        self._held = ""
        self._parts: list[Part] = []
        self.is_stopped = False

    @property
    def parts(self) -> tuple[Part, ...]:
        """What has been read so far, neighbouring texts joined."""
        return join_parts(self._parts)

    def push(self, token_id: int) -> tuple[Part, ...]:
        """Return what this token completes: text that is certain, or a whole tool part.

        Any special token ends the part before it; one that opens no tool part is otherwise
        passed over, so a model that misplaces a marker still leaves readable text. A stop string
        sets is_stopped; nothing is read after it.
        """
        if self.is_stopped:
            return ()
        if token_id >= self._first_special:
            pieces = self._end_part()
            self._kind = self._opens.get(token_id, "text")
            return pieces
        data = self._tokenizer.decode_bytes([token_id])
        if self._kind != "text":
            self._collected += data
            return ()
        return self._keep("text", self._certain(self._utf8.push(data)))

    def close(self) -> tuple[Part, ...]:
        """Return what was held back at the end of the answer."""
        pieces = self._end_part()
        self._kind = "text"
        return pieces

    def _end_part(self) -> tuple[Part, ...]:
        if self._kind == "text":
            text = self._certain(self._utf8.flush()) + self._held
            self._held = ""
            return self._keep("text", text)
        text = self._collected.decode("utf-8", errors="replace")
        self._collected = b""
        return self._keep(self._kind, text)

    def _certain(self, new: str) -> str:
        """Return the text that no stop string can claim any more; hold the rest back."""
        text = self._held + new
        if not self._stop or self.is_stopped:
            return "" if self.is_stopped else text
        found = [at for stop in self._stop if (at := text.find(stop)) >= 0]
        if found:
            self.is_stopped, self._held = True, ""
            return text[: min(found)]
        num_held = max(_overlap(text, stop) for stop in self._stop)
        self._held = text[len(text) - num_held :]
        return text[: len(text) - num_held]

    def _keep(self, kind: PartType, text: str) -> tuple[Part, ...]:
        if not text and kind == "text":
            return ()
        piece = Part(type=kind, text=text)
        self._parts.append(piece)
        return (piece,)


def join_parts(pieces: Iterable[Part]) -> tuple[Part, ...]:
    """Return the pieces of an answer with neighbouring texts joined."""
    parts: list[Part] = []
    texts: list[str] = []
    for piece in pieces:
        if piece.type == "text":
            texts.append(piece.text)
            continue
        _flush(texts, parts)
        parts.append(piece)
    _flush(texts, parts)
    return tuple(parts)


def _flush(texts: list[str], parts: list[Part]) -> None:
    if texts:
        parts.append(Part(type="text", text="".join(texts)))
        texts.clear()


def _overlap(text: str, stop: str) -> int:
    """Return the length of the longest end of text that begins the stop string."""
    for length in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:length]):
            return length
    return 0


def readable(parts: Sequence[Part]) -> str:
    """Return an answer on one string, each tool call as [code = result]."""
    words: list[str] = []
    for index, part in enumerate(parts):
        before = parts[index - 1].type if index else None
        after = parts[index + 1].type if index + 1 < len(parts) else None
        if part.type == "text":
            is_joined = before in ("python", "python_output") and not part.text[:1].isspace()
            words.append(f" {part.text}" if is_joined else part.text)
        elif part.type == "python":
            words.append(f"[{part.text}" if after == "python_output" else f"[{part.text}]")
        else:
            words.append(f" = {part.text}]" if before == "python" else f"[= {part.text}]")
    return "".join(words)
