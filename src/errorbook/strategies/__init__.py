"""What a cycle does against mistakes: the strategies and their controls, their shares, and the questions they go by.

`table` says of each strategy what it asks of a cycle, so a new one is one entry there. This room asks no model.
"""
