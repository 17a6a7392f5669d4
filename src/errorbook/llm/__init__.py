"""The engine behind every real instructor: requests to language models over HTTP, cached, paced, budgeted, validated.

Read `engine` first: it is the face. `exchange` buys one reply at a time, `store` remembers it, `pace` decides how many
are in the air, `budget` whether one may be sent, `structured` turns a text into a typed value. Not here: what is asked.
"""
