"""What a network is fed with: channels, planes, pixel size and grey values.

It reads and scales, and knows no windows. The kinds of runs ask it for pixels.
"""
