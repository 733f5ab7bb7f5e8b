// A finger cannot hover: a touched token says at the foot of the page what its title says.
document.addEventListener("click", (event) => {
  const token = event.target.closest(".said span[title]");
  document.getElementById("told").textContent = token ? token.title : "";
});
