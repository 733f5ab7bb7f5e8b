"""settings.toml of the lab home: where alerts go, when something is one, how many runs at once,
what the planner knows of hardware.

The environment wins over the file: LABCLI_NOTIFY_WEBHOOK, LABCLI_NOTIFY_NTFY, LABCLI_NOTIFY_BELL.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar, get_args

from runs.errors import Corrupt, UsageError, nearest
from runs.events import Severity
from runs.paths import LabHome
from runs.scheduling.queue_settings import QueueSettings, queue_settings

FILE_NAME = "settings.toml"
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifySettings:
    """Where alerts go: a webhook that takes JSON, an ntfy topic, the bell of a watching terminal.

    severity: the least that is sent. ends: whether the end of a run is sent, too.
    """

    webhook: str | None = None
    ntfy: str | None = None
    bell: bool = False
    severity: Severity = "warning"
    ends: bool = True

    def __post_init__(self) -> None:
        for name in ("webhook", "ntfy"):
            address = getattr(self, name)
            if address is not None and not str(address).startswith(("http://", "https://")):
                raise UsageError(
                    f"notify.{name} is {address!r}; give an http:// or https:// address"
                )
        if self.severity not in SEVERITIES:
            raise UsageError(
                f"notify.severity is {self.severity!r}; choose {', '.join(SEVERITIES)}"
            )

    @property
    def has_targets(self) -> bool:
        """Whether anything is sent over the network."""
        return self.webhook is not None or self.ntfy is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRules:
    """Every threshold in one place; a condition is over once it has not held for `calm_steps`.

    spike_z: how far log loss must lie above the median of the last `spike_window` steps, in
        robust standard deviations, and spike_ratio by how much at least.
    divergence_nats: how far the median of the last `recent_steps` losses may lie above the loss
        at the start of the attempt, or above its own best.
    plateau_share: the loss of one window of `plateau_steps` must be lower than that of the window
        before it by this share; a window is never less than a fifth of the stage.
    mfu_share: MFU, or tokens per second without it, may fall to this share of what is usual.
    low_disk_bytes: less than this is too little; it must rise by half before it can alert again.
    """

    spike_z: float = 8.0
    spike_ratio: float = 1.15
    spike_window: int = 64
    divergence_nats: float = 1.0
    recent_steps: int = 16
    plateau_share: float = 0.002
    plateau_steps: int = 200
    mfu_share: float = 0.75
    calm_steps: int = 32
    low_disk_bytes: int = 1_000_000_000

    def __post_init__(self) -> None:
        for spec in fields(self):
            value = getattr(self, spec.name)
            if not value > 0:
                raise UsageError(f"alerts.{spec.name} is {value}; give a number above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The whole of settings.toml.

    hardware: figures of cards by name, as core/hardware.toml has them and the planner checks.
    """

    notify: NotifySettings = field(default_factory=NotifySettings)
    alerts: AlertRules = field(default_factory=AlertRules)
    queue: QueueSettings = field(default_factory=QueueSettings)
    hardware: Mapping[str, Any] = field(default_factory=dict)


def load_settings(home: LabHome, env: Mapping[str, str]) -> Settings:
    """Return the settings of a lab home; what is not said is as by default.

    Raises:
        Corrupt: the file is not TOML.
        UsageError: a key is unknown or its value has another type; the key is named.
    """
    path = home.root / FILE_NAME
    try:
        body = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        body = {}
    except (OSError, ValueError) as error:
        raise Corrupt(f"{path} cannot be read as TOML: {error}") from None
    sections = [spec.name for spec in fields(Settings)]
    for name in body:
        if name not in sections:
            raise UsageError(f"{path} has an unknown section {name!r}{nearest(name, sections)}")
    notify = _build(NotifySettings(), "notify", body.get("notify", {}))
    alerts = _build(AlertRules(), "alerts", body.get("alerts", {}))
    queue = queue_settings(body.get("queue", {}), FILE_NAME)
    hardware = body.get("hardware", {})
    if not isinstance(hardware, dict):
        raise UsageError(f'hardware in {FILE_NAME} must hold sections such as [hardware."H100"]')
    return Settings(notify=_from_env(notify, env), alerts=alerts, queue=queue, hardware=hardware)


def _from_env(notify: NotifySettings, env: Mapping[str, str]) -> NotifySettings:
    given: dict[str, Any] = {}
    for name in ("webhook", "ntfy"):
        text = env.get(f"LABCLI_NOTIFY_{name.upper()}")
        if text is not None:
            given[name] = text or None
    bell = env.get("LABCLI_NOTIFY_BELL")
    if bell is not None:
        given["bell"] = bell.lower() not in ("", "0", "false", "no")
    return replace(notify, **given)


def _build(default: T, section: str, values: object) -> T:
    if not isinstance(values, dict):
        raise UsageError(f"{section} in {FILE_NAME} must be a section: [{section}]")
    known = {spec.name: spec for spec in fields(default)}  # type: ignore[arg-type]
    for key, value in values.items():
        if key not in known:
            raise UsageError(f"{FILE_NAME} has no setting {section}.{key}{nearest(key, known)}")
        before = getattr(default, key)
        wanted: tuple[type, ...] = (str,) if before is None else (type(before),)
        if wanted == (float,):
            wanted = (int, float)
        if not isinstance(value, wanted) or (isinstance(value, bool) and wanted != (bool,)):
            names = " or ".join(kind.__name__ for kind in wanted)
            raise UsageError(f"{section}.{key} in {FILE_NAME} is {value!r}; it takes a {names}")
    return replace(default, **values)  # type: ignore[type-var]
