"""How complete a month is: in a sentence, by hour, and as a picture."""
