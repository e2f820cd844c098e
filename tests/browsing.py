"""A report as a browser has it."""


class Visit:
    """A page that was opened, with all that it complained of or asked for."""

    def __init__(self, browser, file, **kind):
        self.page = browser.new_page(**kind)
        self.problems, self.asked = [], []
        self.page.on("console", lambda message: self.problems.append(message.text))
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(file.as_uri())
        self.page.wait_for_function("document.documentElement.dataset.drawn === 'yes'", timeout=60_000)

    def column(self, number):
        return self.page.locator(f".filterable tbody tr:not([hidden]) > :nth-child({number})").all_inner_texts()
