"""The environment of a pod."""

from __future__ import annotations

import pytest

from gantry_render.server.config import ConfigurationError, read_config

GOOD = {
    "GANTRY_RENDER__CONTROL_URL": "http://127.0.0.1:8000",
    "GANTRY_RENDER__POD_KEY": "pod-key",
    "GANTRY_RENDER__TICKET_PUBLIC_KEY": "ab" * 32,
    "GANTRY_RENDER__ORIGINS": "https://viewer.example, http://127.0.0.1:8000/",
    "GANTRY_OBJECTS__DIRECTORY": "/var/objects",
    "PATH": "/bin",
}


def test_configuration_is_read_when_all_is_there() -> None:
    config = read_config(GOOD)
    assert config.origins == {"https://viewer.example", "http://127.0.0.1:8000"}
    assert config.memory_bytes == 2 << 30
    assert config.store is not None and config.store.kind == "directory"
    assert config.pod_name


def test_key_does_not_show_when_configuration_is_printed() -> None:
    assert "pod-key" not in repr(read_config(GOOD))


def test_the_control_planes_keys_pass_when_both_share_an_environment() -> None:
    read_config({**GOOD, "GANTRY_RENDER__URL": "http://127.0.0.1:8010", "GANTRY_DATABASE__HOST": "db"})


@pytest.mark.parametrize(
    "change",
    [
        {"GANTRY_RENDER__CONTROL_ULR": "http://127.0.0.1"},
        {"GANTRY_RENDER__CONTROL_URL": ""},
        {"GANTRY_RENDER__CONTROL_URL": "ftp://there"},
        {"GANTRY_RENDER__POD_KEY": ""},
        {"GANTRY_RENDER__TICKET_PUBLIC_KEY": "ab"},
        {"GANTRY_RENDER__TICKET_PUBLIC_KEY": "zz" * 32},
        {"GANTRY_RENDER__ORIGINS": ""},
        {"GANTRY_RENDER__ORIGINS": "*"},
        {"GANTRY_RENDER__ORIGINS": "https://viewer.example/page"},
        {"GANTRY_RENDER__MEMORY_BYTES": "lots"},
        {"GANTRY_RENDER__MEMORY_BYTES": "1"},
        {"GANTRY_RENDER__PORT": "70000"},
        {"GANTRY_OBJECTS__DIRECTORY": ""},
        {"GANTRY_OBJECTS__KIND": "tape"},
        {"GANTRY_OBJECTS__KIND": "s3"},
        {"GANTRY_LOG__LEVEL": "loud"},
    ],
)
def test_process_stops_when_a_setting_is_wrong(change: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError) as stopped:
        read_config({**GOOD, **change})
    assert str(stopped.value).startswith("gantry-render: ")
