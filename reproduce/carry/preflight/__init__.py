"""Whether everything that the runs of a target read is where it should be, before any of it is downloaded.

`inputs` lists what the runs read, `hub` asks the hub about it, `checks` puts both together.
"""
