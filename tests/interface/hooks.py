"""How schemathesis writes and reads the media that are not JSON."""

import json

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def lines(ctx, value):
    """Whatever it made up, as one line."""
    return value if isinstance(value, bytes) else json.dumps(value).encode()


@schemathesis.deserializer("application/octet-stream", "application/x-ndjson")
def bytes_as_they_are(ctx, response):
    return None
