"""The warden: new seasons of recorded histories, signed with the control key."""
