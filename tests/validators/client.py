"""Drives the REST interface with the official Python package, pointed here by its module constants, and prints what it got."""
import json
import sys

import plivo
import plivo.rest.client

base, auth_id, token, room, supervisor = sys.argv[1:]
for constant in ("PLIVO_API_BASE_URI", "API_VOICE_BASE_URI", "API_VOICE_BASE_URI_FALLBACK_1", "API_VOICE_BASE_URI_FALLBACK_2"):
    setattr(plivo.rest.client, constant, base + "/v1/Account")

client = plivo.RestClient(auth_id, token)
calls = client.multi_party_calls
got = {"list": len(calls.list(status="active").objects), "name": calls.get(friendly_name=room).friendly_name}
calls.start(friendly_name=room)
added = calls.add_participant(role="supervisor", friendly_name=room, from_="4930", to_="sip:boss@phone.plivo.com", coach_mode=False)
got["added"] = added.calls[0]["call_uuid"] if isinstance(added.calls[0], dict) else added.calls[0].call_uuid
updated = calls.update_participant(supervisor, friendly_name=room, coach_mode=False, mute=True)
got["updated"] = updated.coach_mode
got["participants"] = len(calls.list_participants(friendly_name=room).objects)
calls.kick_participant(supervisor, friendly_name=room)
calls.stop(friendly_name=room)
try:
    calls.get(friendly_name="nobody")
except plivo.exceptions.ResourceNotFoundError as error:
    got["missing"] = str(error)
print(json.dumps(got))
