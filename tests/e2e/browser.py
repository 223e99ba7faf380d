"""Pages in a headless Chromium, driven through chromedriver; tests that need one skip without."""
import contextlib
import shutil
import tempfile

import pytest

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync"]
DEADLINE = 60  # seconds for anything that is waited for


@contextlib.contextmanager
def chromium(width=1366, height=768):
    selenium = pytest.importorskip("selenium.webdriver", reason="python3-selenium is not installed")
    service = pytest.importorskip("selenium.webdriver.chrome.service")
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not program or not driver:
        pytest.skip("chromium and chromium-driver are not installed")
    options = selenium.ChromeOptions()
    options.binary_location = program
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with tempfile.TemporaryDirectory(prefix="alloctrace-chromium-", ignore_cleanup_errors=True) as folder:
        for flag in [*FLAGS, f"--user-data-dir={folder}", f"--window-size={width},{height}"]:
            options.add_argument(flag)
        browser = selenium.Chrome(options=options, service=service.Service(driver))
        browser.set_page_load_timeout(DEADLINE)
        try:
            yield Page(browser)
        finally:
            browser.quit()


class Page:
    """What a test does to a page, and asks it."""

    def __init__(self, browser):
        self.browser = browser

    def open(self, path):
        self.browser.get(path.resolve().as_uri())
        self.wait("document.documentElement.dataset.ready || !document.getElementById('broken').hidden")

    def wait(self, expression):
        from selenium.webdriver.support.ui import WebDriverWait
        WebDriverWait(self.browser, DEADLINE, poll_frequency=0.02).until(lambda _: self.ask(expression),
                                                                          f"never true: {expression}")

    def ask(self, expression, *arguments):
        return self.browser.execute_script(f"return {expression}", *arguments)

    def find(self, selector):
        return self.browser.find_element("css selector", selector)

    def all(self, selector):
        return self.browser.find_elements("css selector", selector)

    def text(self, selector):
        return self.find(selector).text

    def click(self, selector):
        self.find(selector).click()

    def press(self, *keys):
        from selenium.webdriver.common.action_chains import ActionChains
        ActionChains(self.browser).send_keys(*keys).perform()

    def drag(self, selector, begin, end):
        """Along an element's middle, from one part of its width to another."""
        from selenium.webdriver.common.action_chains import ActionChains
        element = self.find(selector)
        width = element.size["width"]
        ActionChains(self.browser, duration=10).move_to_element_with_offset(element, int((begin - 0.5) * width), 0) \
            .click_and_hold().move_by_offset(int((end - begin) * width), 0).release().perform()

    def complaints(self):
        return [entry["message"] for entry in self.browser.get_log("browser")]
