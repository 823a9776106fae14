"""Faults injected into real servers, one at a time: what is at fault may fail, and takes nothing else along."""
