"""A crash as pages that people share: one HTML file each, without a request.

recording       a crash under several rule sets and policies, to be applied event by event
playback        the frames of a crash: price, fund, and the ADL queue as it is closed
html_page       data and script in one HTML file
"""
