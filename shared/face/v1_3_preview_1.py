"""Face API v1.3-preview.1: v1.2 under another path, in what the broker uses.

It also has more (attempts per session, user ids, abuse monitoring). Face keeps a template of the face for up
to 48 hours unless abuse monitoring is off: https://learn.microsoft.com/azure/foundry/responsible-ai/face
"""

from dataclasses import replace

from shared.face import v1_2

VERSION = replace(v1_2.VERSION, name="v1.3-preview.1")
