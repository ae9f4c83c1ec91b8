"""A crash as pages that people share: one HTML file each, without a request.

recording       a crash under several rule sets and policies, to be applied event by event
playback        the frames of a crash: price, fund, and the ADL queue as it is closed
playback_gif    the same as an animated picture
fairness_map    the positions of a side by leverage and return, and whom each variant closes
receipt         one ADL fill as a card and a page, with the lines that verify it
html_page       data and script in one HTML file
"""
