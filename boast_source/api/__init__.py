"""The only room that speaks HTTP: the client, its pace, its tokens, its errors."""

from boast_source.api.address import path_of
from boast_source.api.answers import Page
from boast_source.api.client import BoastClient
from boast_source.api.credentials import (
    AccessTokenCredentials,
    BoastCredentials,
    OAuthCredentials,
    resolve_credentials,
)
from boast_source.api.pace import RetryPolicy, Tally

__all__ = [
    "AccessTokenCredentials",
    "BoastClient",
    "BoastCredentials",
    "OAuthCredentials",
    "Page",
    "RetryPolicy",
    "Tally",
    "path_of",
    "resolve_credentials",
]
