"""The sections of a run's page that list what it has: settings, machine and files. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from runs.scheduling.snapshot import describe
from tui.analysis.rows import Cell, Row, TableRow, blank, fact, heading, remark, table
from tui.analysis.run_page import RunPage, Setting
from tui.analysis.words import cell
from tui.shell import format as fmt
from tui.shell.format import counted
from tui.shell.glyphs import Glyphs

_GIB = 1024**3


def settings(page: RunPage, *, width: int) -> list[Row]:
    """Return every setting, those that differ from the recipe's defaults first."""
    record = page.record
    if record is None:
        return [remark("run.json cannot be read, and the settings are in it")]
    changed = [one for one in page.settings if one.is_changed]
    unknown = [one for one in page.settings if not one.has_default]
    rows = []
    if "defaults" in page.problems:
        rows += [remark(page.problems["defaults"], "warning"), blank()]
    else:
        whose = f"{record.recipe}, preset {record.preset}"
        rows.append(heading(f"changed from {whose}", f"{len(changed)}"))
        rows += [_setting_row(one, width, is_marked=True) for one in changed]
        if not changed:
            rows.append(remark("every setting is the default"))
        rows.append(blank())
        if unknown:
            rows.append(heading("of no default", counted(len(unknown), "setting")))
            rows += [_setting_row(one, width) for one in unknown]
            rows.append(blank())
    for stage in dict.fromkeys(one.stage for one in page.settings):
        own = [one for one in page.settings if one.stage == stage and not one.is_changed]
        hashes = [entry.config_hash for entry in record.stages if entry.stage == stage]
        if own:
            rows.append(heading(stage, f"hash {hashes[0]}" if hashes else ""))
            rows += [_setting_row(one, width) for one in own]
            rows.append(blank())
    return rows[:-1]


def _setting_row(one: Setting, width: int, *, is_marked: bool = False) -> Row:
    name = f"{one.stage}.{one.name}"
    value = cell(one.value)
    was = f"default {cell(one.default)}" if one.is_changed else ""
    row = fact(
        f"{name:<{min(32, width // 2)}}", value, tone="active" if is_marked else "plain", note=was
    )
    lines = [name, "", f"value    {value}"]
    if one.has_default:
        lines.append(f"default  {cell(one.default)}")
    if one.help:
        lines += ["", one.help]
    lines += ["", f"--set {name}={value}"]
    return Row(line=row.line, key=name, value=f"{name}={value}", detail="\n".join(lines))


def machine(page: RunPage) -> list[Row]:
    """Return the code, the machine and the packages of a run."""
    record = page.record
    if record is None:
        return [remark("run.json cannot be read, and the environment is in it")]
    git = record.git
    sha = str(git.get("sha") or "")
    rows = [
        heading("code"),
        fact("commit", sha or "not recorded", note=str(git.get("branch") or "")),
    ]
    dirty = "held changes beyond the commit" if git.get("is_dirty") else "as committed"
    rows.append(fact("working tree", dirty if sha else "not recorded"))
    if git.get("diff_path"):
        rows.append(fact("diff", str(git["diff_path"])))
    rows += [fact("source", describe(record.source)), blank(), heading("machine")]
    packages = []
    for name, value in page.environment.items():
        if name.startswith("package "):
            packages.append(fact(name.removeprefix("package "), str(value)))
        elif name == "memory_bytes":
            rows.append(fact("memory", f"{float(value) / _GIB:.1f} GiB"))
        else:
            rows.append(fact(name, "not recorded" if value is None else str(value)))
    rows.append(fact("worker", " ".join(record.worker)))
    return [*rows, blank(), heading("packages", str(len(packages))), *packages]


def files(page: RunPage, *, width: int, glyphs: Glyphs) -> list[Row]:
    """Return the files of the run directory, the largest folders first."""
    by_folder: dict[str, list[TableRow]] = {}
    sizes: dict[str, int] = {}
    for file in page.files:
        folder = file.path.partition("/")[0] if "/" in file.path else ""
        sizes[folder] = sizes.get(folder, 0) + file.num_bytes
        by_folder.setdefault(folder, []).append(
            TableRow(
                cells=(Cell(text=fmt.size(file.num_bytes)), Cell(text=file.path)),
                key=file.path,
                value=str(page.view.path / file.path),
                detail=f"{page.view.path / file.path}\n\n{file.num_bytes:,} bytes",
            )
        )
    total = fmt.size(sum(sizes.values()))
    rows = [heading(str(page.view.path.name), f"{total} in {counted(page.num_files, 'file')}")]
    if page.num_files > len(page.files):
        rows.append(remark(f"only the first {len(page.files):,} are listed", "warning"))
    for folder in sorted(sizes, key=lambda folder: -sizes[folder]):
        share = sizes[folder] / max(sum(sizes.values()), 1)
        name = f"{folder}/" if folder else "beside them"
        rows += [blank(), heading(name, f"{fmt.size(sizes[folder])}, {fmt.percent(share)}")]
        rows += _files_of(by_folder[folder], width, glyphs)
    return rows


def _files_of(rows: Sequence[TableRow], width: int, glyphs: Glyphs) -> list[Row]:
    return table(("", ""), rows, width=width, glyphs=glyphs, right="rl", flexible=1)[1:]
