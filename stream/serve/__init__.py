"""Serve: everything that is read over HTTP."""
