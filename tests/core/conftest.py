"""The folder of `world` on the import path, for the tests in the folders below."""
