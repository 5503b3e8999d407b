"""The part of the room that its name says."""
