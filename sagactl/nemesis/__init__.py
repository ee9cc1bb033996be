"""Pods of a release are killed, one after another, as a seed tells: for trials, beside a load generator."""
