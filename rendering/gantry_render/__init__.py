"""Volumes and planes drawn on the server: no framework, no network.

`scene` says what is to be seen, `presets` how tissue looks, `engine` draws it; an engine is chosen by
`engine.choose`. Everything that refuses raises an `ImagingError` with a stable code.
"""
