import pytest

from shared.cloud import CHINA, GOVERNMENT, PUBLIC, Cloud, cloud_of


@pytest.mark.parametrize(
    ("url", "cloud"),
    [
        ("https://a.vault.azure.net", PUBLIC),
        ("https://a.cognitiveservices.azure.us/", GOVERNMENT),
        ("https://a.table.core.usgovcloudapi.net/", GOVERNMENT),
        ("https://a.r-1.eventgrid.azure.cn/api/events", CHINA),
        ("http://127.0.0.1:7072", PUBLIC),
        (None, PUBLIC),
    ],
)
def test_a_url_tells_its_cloud(url: str | None, cloud: Cloud) -> None:
    """What is in no cloud counts as public: a service on this machine."""
    assert cloud_of(url) is cloud


@pytest.mark.parametrize(
    "url",
    [
        "https://vault.azure.net",
        "https://avault.azure.net",
        "https://a.vault.azure.net.evil.example",
        "https://evil.example/a.vault.azure.net",
        "https://a.vault.azure.net@evil.example",
        "https://a.vault.azure.cn",
    ],
)
def test_a_host_that_only_looks_alike_belongs_to_no_service(url: str) -> None:
    """The end of the host name counts, after a dot."""
    assert not PUBLIC.has(url)
